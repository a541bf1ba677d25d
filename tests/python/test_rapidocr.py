"""The pipeline of rapidocr-onnxruntime, as it is, with plica.ort in place of onnxruntime:
detection, direction and recognition of text. Runs where both packages are installed.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rapidocr_onnxruntime")
pytest.importorskip("onnxruntime")
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

LINES = [
    "The quick brown fox",
    "jumps over 13 lazy dogs",
    "Plica folds batch norms",
    "2026-11-23  19:84 EUR",
]

PROGRAM = """
import json, sys
if sys.argv[1] == "plica":
    import plica.ort
    sys.modules["onnxruntime"] = plica.ort
from rapidocr_onnxruntime import RapidOCR
result, _ = RapidOCR()(sys.argv[2])
import onnxruntime
json.dump({"by": onnxruntime.__name__, "lines": result}, sys.stdout, default=float)
"""


def read(by, picture):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, by, str(picture)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index('{"by"') :])


def test_the_same_text(tmp_path):
    picture = Image.new("RGB", (760, 420), "white")
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(LINES):
        draw.text((40, 30 + 95 * i), line, fill=(20, 20, 60), font=ImageFont.load_default(44))
    upside_down = picture.rotate(180)
    for name, image in (("straight.png", picture), ("upside_down.png", upside_down)):
        image.save(tmp_path / name)
        ours, theirs = read("plica", tmp_path / name), read("onnxruntime", tmp_path / name)
        assert ours["by"] == "plica.ort" and theirs["by"] == "onnxruntime"
        assert [text for _, text, _ in ours["lines"]] == [text for _, text, _ in theirs["lines"]]
        assert len(ours["lines"]) == len(LINES)
        np.testing.assert_allclose(
            [s for _, _, s in ours["lines"]], [s for _, _, s in theirs["lines"]], atol=1e-3
        )
        np.testing.assert_allclose(
            [b for b, _, _ in ours["lines"]], [b for b, _, _ in theirs["lines"]], atol=1
        )
        if name == "straight.png":
            assert [text.replace(" ", "") for _, text, _ in ours["lines"]] == [
                line.replace(" ", "") for line in LINES
            ]
