"""Every limit on what one request may take, each with its unit.

They protect a shared machine (two cores, 16 GB) from a request that would hold it for many minutes, and
people from waiting for a result that cannot be good. Over one, :class:`zipper.errors.LimitError` is raised.
"""

# Audio in
MAX_AUDIO_SECONDS = 15 * 60.0  # s, longest recording that is transcribed
MIN_AUDIO_SECONDS = 0.1  # s, shorter than the shortest word; 2 speech tokens
MAX_FILE_BYTES = 512 * 1024**2  # bytes, a file read from disk: 15 minutes of 24-bit stereo at 96 kHz
MAX_UPLOAD_BYTES = 30 * 1000**2  # bytes, a file that arrives through the app
MAX_CHANNELS = 64  # channels of one recording, mixed down to one
MIN_SAMPLE_RATE = 4_000  # Hz, half a telephone's
MAX_SAMPLE_RATE = 768_000  # Hz, beyond any recorder
MAX_DECODE_SECONDS = 120.0  # s of wall clock to decode one recording

# Windows: long audio is cut at pauses into passages of at most this length
MAX_WINDOW_SECONDS = 20.0  # s, longest passage that the towers see at once
MIN_WINDOW_SECONDS = 5.0  # s, no cut is looked for earlier than this after the last one

# Text in
MAX_TEXT_CHARACTERS = 2_000  # characters of one request for speech, as typed
MAX_TYPED_BYTES = 1_000_000  # bytes of text read from standard input, most of which may be white space
MAX_SPOKEN_PER_TYPED = 1.5  # of that many, written out as they are spoken: prose makes 1.0 to 1.2, numbers alone 10
MAX_SENTENCE_CHARACTERS = 120  # of one generated passage: held-out long sentences at 240 81 % WER, 120 11 %, 90 11 %

# Delivery
MIN_SPEED, MAX_SPEED = 0.6, 1.6  # of synthesized speech, against the speed at which it was generated
MAX_PITCH = 4.0  # semitones up or down

# Tokens out
MAX_TEXT_TOKENS_PER_SECOND = 12.0  # text tokens per second of speech; fast talkers reach 7
EXTRA_TEXT_TOKENS = 12  # text tokens on top, for very short recordings
MAX_SPEECH_SECONDS_PER_CHARACTER = 0.16  # s of speech per character; slow readers reach 0.11
EXTRA_SPEECH_SECONDS = 2.0  # s of speech on top, for very short texts
MAX_COMPLETION_TOKENS = 400  # tokens continued by one unimodal completion

# Time
MAX_PASSAGE_SECONDS = 120.0  # s of wall clock for one passage
MAX_REQUEST_SECONDS = 900.0  # s of wall clock for one request, all passages together

# Memory
MAX_ATTENTION_CELLS = 64_000_000  # weights in one merged attention array, 128 MB in half precision

# App
MAX_WAITING = 32  # requests in the queue before the one that runs; more are turned away
MAX_BEAMS = 16  # beams that a program may ask for
MAX_LIVE_SECONDS = 180.0  # s, longest recording that is read while the person speaks
MAX_LIVE_WINDOW_SECONDS = 12.0  # s of it that are read again and again; must stay under MAX_WINDOW_SECONDS
MAX_COMPARED_SECONDS = 30.0  # s, longest recording that Explore reads several times over
MAX_COMPARED_CHARACTERS = 400  # characters of a text that Explore speaks several times over
MAX_LINK_CHARACTERS = 400  # characters of a text that a link to the page carries
