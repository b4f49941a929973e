"""Every rate and hop of the project, each with its unit; nothing else defines one."""

SPEECH_RATE = 16_000  # Hz, audio that the speech tokenizer reads
TOKEN_RATE = 25  # speech tokens a second
TOKEN_SAMPLES = SPEECH_RATE // TOKEN_RATE  # 640 samples of 16 kHz audio a token

WHISPER_HOP = 160  # samples at 16 kHz between two mel frames (100 Hz)
WHISPER_WINDOW = 400  # samples of one analysis window
WHISPER_MELS = 80  # mel bands of the encoder's input
FRAME_RATE = 50  # encoder frames a second
FRAMES_PER_TOKEN = FRAME_RATE // TOKEN_RATE
MELS_PER_TOKEN = SPEECH_RATE // WHISPER_HOP // TOKEN_RATE

VOCODER_RATE = 22_050  # Hz, audio that the vocoder writes
VOCODER_HOP = 256  # samples at 22.05 kHz between two vocoder mel frames
MELS = 80  # mel bands of the vocoder
VOCODER_SAMPLES_PER_TOKEN = VOCODER_RATE // TOKEN_RATE  # 882
VOCODER_FRAMES_PER_TOKEN = VOCODER_SAMPLES_PER_TOKEN / VOCODER_HOP  # 3.4453125, not whole
