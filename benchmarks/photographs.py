"""What a photograph of a real person gives as the signer's picture: are hands found again, is it still that person?

`python -m benchmarks.photographs --pictures PATH ...` renders words with the astronaut of scikit-image (NASA, public
domain) as the signer, with each picture given (of a video, its first frame in which both shoulders are seen), and with
a built-in signer beside them, and prints one JSON line. Only figures leave it: no frame is kept. Hands found are a
share of those in the driving pose; colours differ by dE*ab (`pipelines.measures.identity`), beside how far the picture
is from the nearest of the others.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.data import astronaut

from benchmarks.renderer_measures import colour_distance, signer_colours
from gen.renderers import Renderer, SignerPicture, create_renderer
from gen.renderers.pictures import built_in_picture
from pipelines.environment import machine
from pipelines.measures.pose import measure_fidelity
from pipelines.renderer_version import renderer_version
from poses.estimators import Estimator, create_estimator, extract_poses
from poses.fingerspelling import spell
from poses.io import is_video
from poses.keypoints import HAND, index
from poses.sequence import PoseSequence
from poses.video import read_frames, read_picture
from recognizer.metrics import bootstrap_interval

SIZE = 256
WORDS = (("SIGN", "ase"), ("VIDEO", "ase"), ("HELLO", "csq"), ("BODY", "ise"), ("ДЯКУЮ", "ukl"))
"""In languages that the renderer's handshapes are from; people are what is new here."""
SHOULDERS = index("right_shoulder", "left_shoulder")


@dataclass(frozen=True)
class Result:
    """One word signed by one person.

    Attributes:
        hands: Hands in the driving pose, counted in every frame.
        found: Share of them that is found again.
        error: Mean distance of a hand's points, in shoulder widths; of two hands the worse one's.
        colours: Of face, hair and clothes, over the clip.
    """

    hands: int
    found: float
    error: float | None
    colours: list[list[list[float]]]


def load_picture(path: Path, estimator: Estimator) -> SignerPicture:
    """A picture, or the first frame of a video that shows both shoulders."""
    frames = read_frames(path) if is_video(path) else iter([read_picture(path)])
    for frame in frames:
        try:
            poses = extract_poses([frame], fps=1.0, estimator=estimator, source=path.name)
        except ValueError:  # nobody yet
            continue
        if (poses.confidence[0, SHOULDERS] > 0).all():
            return SignerPicture(frame, poses, path.stem)
    raise ValueError(f"{path}: must show a person with both shoulders, found none.")


def sign(clip: PoseSequence, signer: SignerPicture, renderer: Renderer, estimator: Estimator) -> Result:
    """Renders a word and looks for it again."""
    placed = renderer.place(clip, signer, height=SIZE, width=SIZE)(clip)
    frames = np.stack(list(renderer.render(placed, signer)))
    read = extract_poses(frames, fps=clip.fps, estimator=estimator, source=signer.name)
    parts = measure_fidelity(placed, read, estimator=estimator.name).parts
    hands = [parts[side] for side in ("left_hand", "right_hand") if parts[side].recall is not None]
    weights = [hand.visible_points for hand in hands]
    errors = [hand.mean_error for hand in hands if hand.mean_error is not None]
    return Result(
        hands=sum(weights) // len(HAND),
        found=float(np.average([hand.recall or 0.0 for hand in hands], weights=weights)),
        error=max(errors, default=None),
        colours=signer_colours(frames, read),
    )


def rounded(distance: float | None) -> float | None:
    return None if distance is None else round(distance, 1)


def main() -> None:
    """Signs every word as everybody, and prints the figures of each person."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="further pictures or videos of people")
    parser.add_argument("--renderer", default="signer-small")
    arguments = parser.parse_args()
    renderer, estimator = create_renderer(arguments.renderer), create_estimator("mediapipe")
    photograph = astronaut()
    held = extract_poses([photograph], fps=1.0, estimator=estimator, source="astronaut")
    signers = {
        "built-in": built_in_picture("alex", SIZE, SIZE),
        "astronaut": SignerPicture(photograph, held, "astronaut", "public-domain"),
        **{f"picture {number}": load_picture(path, estimator) for number, path in enumerate(arguments.pictures, 1)},
    }
    pictures = {name: signer_colours(signer.image[None], signer.poses) for name, signer in signers.items()}
    table = {}
    for name, signer in signers.items():
        results = [sign(spell(word, language), signer, renderer, estimator) for word, language in WORDS]
        found, hands = (np.array([getattr(of, what) for of in results], float) for what in ("found", "hands"))
        clips = [[word for word, _ in WORDS]]
        others = [colour_distance(pictures[name], of) for other, of in pictures.items() if other != name]
        low, high = bootstrap_interval(lambda w, f=found, h=hands: float((w * h) @ f / (w @ h)), clips)
        table[name] = {
            "hands": int(hands.sum()),
            "found": [round(float(hands @ found / hands.sum()), 3), round(low, 3), round(high, 3)],
            "error_shoulder_widths": [of.error for of in results],
            "colours_from_own_picture": [rounded(colour_distance(of.colours, pictures[name])) for of in results],
            "picture_from_nearest_other": rounded(min((of for of in others if of is not None), default=None)),
        }
    about = {"renderer": renderer_version(renderer), "words": len(WORDS), "machine": machine()}
    print(json.dumps({**about, "signers": table}))


if __name__ == "__main__":
    main()
