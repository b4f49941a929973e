"""Which sentences are chosen to be spoken."""

from zipper.data.sentences import choose_sentences, draw_sentences, sentences

LINES = [
    "The lighthouse keeper climbed the stairs. He saw 12 ships, and a storm was coming in.",
    "The lighthouse keeper climbed the stairs again.",
    "A gentle breeze moved the curtains in the empty hall. Yes.",
    "Nobody expected the bridge to survive the storm.",
]


def test_only_what_can_be_read_as_it_stands_is_a_sentence() -> None:
    assert list(sentences(LINES[:1])) == ["The lighthouse keeper climbed the stairs."]  # not the one with a number
    assert list(sentences(LINES[2:3])) == ["A gentle breeze moved the curtains in the empty hall."]  # Yes: too short


def test_sentences_are_chosen_for_words_that_were_not_heard() -> None:
    chosen = choose_sentences(LINES, 10, common=1)
    assert len(chosen) == 4  # a word is heard after two sentences
    known = [LINES[0], LINES[1]]
    assert set(choose_sentences(LINES, 10, known, common=1)) == {
        "A gentle breeze moved the curtains in the empty hall.",
        "Nobody expected the bridge to survive the storm.",
    }
    assert choose_sentences(LINES, 1, common=1) == choose_sentences(LINES, 1, common=1)
    assert len(choose_sentences(LINES, 1, common=1)) == 1
    assert choose_sentences(LINES, 10, common=50) == []


def test_random_sentences_are_the_seed_s_and_each_comes_once() -> None:
    every = list(sentences(LINES))
    drawn = draw_sentences(LINES, 10, seed=1)
    assert sorted(drawn) == sorted(every)
    assert drawn[:2] == draw_sentences(LINES, 2, seed=1)
    assert len({tuple(draw_sentences(LINES, 10, seed)) for seed in range(20)}) > 1


def test_short_utterances_can_be_drawn_too_and_each_only_once() -> None:
    assert draw_sentences([*LINES, "Yes. Yes."], 10, seed=1, lengths=(2, 10)) == ["Yes."]
