"""Clips of one sign each from folders of pose files, to train a recognizer of words on."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.pose_corpus import read_corpus
from recognizer.word_clips import WordClip, gloss_name


def read_word_clips(sources: Sequence[Path]) -> list[WordClip]:
    """Reads clips of one sign each, to train a recognizer of words on.

    Args:
        sources: As for `read_corpus`, with a table that gives each clip one gloss, the language and, where known, the
            signer. The gloss - is of clips in which nothing is signed.

    Raises:
        ValueError: There is no source, or as for `read_corpus`; a clip has no gloss or several, or no language.
        PoseFileError: A file is damaged.
    """
    if not sources:
        raise ValueError("`data` must name at least one folder of pose files with a .csv of glosses, got none.")
    clips = []
    for clip in read_corpus(sources):
        if len(clip.glosses) != 1 or not clip.language:
            found = f"glosses {list(clip.glosses)}, language {clip.language!r}"
            raise ValueError(f"{clip.path}: its table must give it one gloss and a language, found {found}.")
        clips.append(WordClip(gloss_name(clip.language, clip.glosses[0]), clip.signer, clip.load()))
    return clips
