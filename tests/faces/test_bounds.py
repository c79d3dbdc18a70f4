"""What a search looks at is bounded, whatever the photo shows and however large it is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import FaceBox
from gan_space.faces.find import find_faces
from gan_space.faces.overview import MAX_PX, Overview
from gan_space.faces.scan import MAX_BOXES, ScanDetector
from gan_space.images import from_uint8, to_uint8

# Of one whole search, four times around: crops that the aligner corrects, pixels of the pictures it scans, and crops
# about which the landmarker is asked, where all are likely and none is sure.
MAX_CROPS, MAX_SCANNED_PX, MAX_ASKED = 800, 3_000_000, 132


class CountingAligner:
    """The aligner, with a count of what it was shown."""

    def __init__(self, aligner):
        self.aligner, self.resolution = aligner, aligner.resolution
        self.crops = self.scanned_px = 0

    def __call__(self, images: Tensor):
        self.crops += len(images)
        return self.aligner(images)

    def scan(self, picture: Tensor, stride_px: int):
        self.scanned_px += picture.shape[2] * picture.shape[3]
        return self.aligner.scan(picture, stride_px)


class SeesFacesEverywhere(CountingAligner):
    """The worst that a picture can do: every window is a likely face, but not a sure one."""

    def __call__(self, images: Tensor):
        return self._doubtful(super().__call__(images))

    def scan(self, picture: Tensor, stride_px: int):
        output, columns = super().scan(picture, stride_px)
        output = self._doubtful(output)
        # Four neighbours mean the same place, or nobody would confirm them.
        index = torch.arange(len(output.score))
        odd = torch.stack([index % columns, index // columns], dim=-1) % 2  # [N, 2]
        return output._replace(points=output.points - odd[:, None] * stride_px / self.resolution), columns

    def _doubtful(self, output):
        points = torch.tensor([[0.305, 0.309], [0.695, 0.309], [0.5, 0.703]]).expand(len(output.points), 3, 2)
        logit = torch.full_like(output.face_logit, 5.0)
        return output._replace(points=points, face_logit=logit, log_error=torch.full_like(logit, np.log(0.06)))


def picture(kind: str, height: int, width: int) -> Tensor:
    """[3, H, W] uint8; nothing of it is in memory but one row or tile."""
    if kind == "noise":
        tile = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        return tile.repeat(1, -(-height // 64), -(-width // 64))[:, :height, :width]
    if kind.startswith("checks"):
        side = int(kind.removeprefix("checks"))
        rows, columns = (torch.arange(length) // side for length in (height, width))
        return (255 * ((rows[:, None] + columns) % 2)).to(torch.uint8).expand(3, height, width)
    if kind == "text":
        page, font = Image.new("L", (width, height), "white"), ImageFont.load_default(14)
        words = "Alle Menschen sind frei und gleich an Würde und Rechten geboren. " * (width // 200)
        for row in range(0, height, 18):
            ImageDraw.Draw(page).text((9, row), words[row % 60 :], fill="black", font=font)
        return torch.from_numpy(np.array(page)).expand(3, height, width)
    return torch.full((1, 1, 1), 130, dtype=torch.uint8).expand(3, height, width)


@pytest.mark.parametrize(
    ("kind", "height", "width"),
    [
        ("flat", 300, 300), ("flat", 9000, 9000), ("flat", 14_000, 14_000),
        ("noise", 300, 300), ("noise", 1200, 1800), ("noise", 400, 4000), ("noise", 60, 6000), ("noise", 6000, 60),
        ("noise", 1, 50_000), ("noise", 1000, 12_000), ("text", 1400, 1600), ("text", 500, 6000), ("text", 6000, 500),
        ("checks8", 1500, 2000), ("checks400", 3000, 4000),
    ],
)  # fmt: skip
def test_every_kind_of_picture_costs_a_bounded_number_of_windows(kind, height, width, aligner):
    counting = CountingAligner(aligner)
    assert find_faces(picture(kind, height, width), counting, thorough=True) == []
    assert counting.crops <= MAX_CROPS
    assert counting.scanned_px <= MAX_SCANNED_PX


def test_even_if_every_window_looks_like_a_face(aligner):
    worst = SeesFacesEverywhere(aligner)
    find_faces(picture("noise", 900, 900), worst, thorough=True)
    assert 0 < worst.crops <= MAX_CROPS
    assert len(ScanDetector(worst)(picture("noise", 900, 900))) <= MAX_BOXES


def test_the_landmarker_is_asked_about_a_bounded_number_of_crops(aligner, landmarker):
    counting = CountingAligner(landmarker)
    counting.view = landmarker.view
    assert not find_faces(picture("noise", 900, 900), SeesFacesEverywhere(aligner), landmarker=counting, thorough=True)
    assert 0 < counting.crops <= MAX_ASKED


def test_memory_does_not_go_with_the_size_of_the_photo():
    tracemalloc.start()
    try:
        overview = Overview(picture("flat", 14_000, 14_000))
        overview.crop(AlignTransform.from_box(0, 0, 14_000), 64)
        overview.crop(AlignTransform.from_box(300, 300, 200), 64)
        peak = tracemalloc.get_traced_memory()[1]  # of numpy and Python; bands of torch are as large as numpy's
    finally:
        tracemalloc.stop()
    assert peak < 60e6
    assert all(copy.shape[0] * copy.shape[1] <= MAX_PX for _, copy in overview.copies)


@pytest.mark.parametrize("scale", [0.5, 1, 3, 5])
@pytest.mark.parametrize("box", [FaceBox(150, 130, 220), FaceBox(-60, 200, 300, roll_deg=25), FaceBox(250, 250, 90)])
def test_crops_show_what_exact_crops_of_the_photo_show(scale, box, photos):
    view = AlignTransform.from_box(0, 0, 512)
    photo = to_uint8(view.crop(photos["woman-lake"], round(512 * scale)))[0]
    box = FaceBox(box.x * scale, box.y * scale, box.size * scale, roll_deg=box.roll_deg)
    crop, exact = Overview(photo).crop(box.transform, 64), box.transform.crop(photo, 64)
    assert crop.shape == exact.shape
    assert (crop - exact).abs().mean() < 0.02


def test_the_scan_of_a_picture_agrees_with_the_crops_of_its_windows(photos, aligner):
    small = Overview(photos["naval-officer"]).resized(0.25)[:128, :128]
    image = from_uint8(torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1))[None]
    with torch.no_grad():
        output, columns = aligner.scan(image, 16)
        windows = image[0].unfold(1, 64, 16).unfold(2, 64, 16)  # [3, Y, X, R, R]
        exact = aligner(windows.permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous())
    assert columns == windows.shape[2]
    assert np.corrcoef(output.face_logit, exact.face_logit)[0, 1] > 0.95
    assert int(output.score.argmax()) in exact.score.topk(3).indices.tolist()
