"""A small file of each format as its tool writes it: `street.jpg` (60 x 40 pixels) with the points and boxes below."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy.io

POINTS = [(12.25, 7.5), (30.0, 20.0)]
BOX = (40.0, 10.0, 48.0, 40.0)  # left, top, right, bottom
CENTRE, HEAD = (44.0, 25.0), (44.0, 12.0)

POINT_SHAPES = [{"label": "man", "points": [list(p)], "shape_type": "point", "flags": {}} for p in POINTS]
RECTANGLE = {"label": "car", "points": [[48, 40], [40, 10]], "shape_type": "rectangle", "flags": {}}
LABELME = {
    "version": "5.4.1",
    "flags": {},
    "shapes": [*POINT_SHAPES, RECTANGLE],
    "imagePath": "..\\photos\\street.jpg",
    "imageData": None,
    "imageHeight": 40,
    "imageWidth": 60,
}
COCO = {
    "images": [{"id": 7, "file_name": "street.jpg", "width": 60, "height": 40}],
    "categories": [{"id": 1, "name": "man", "keypoints": ["head"]}, {"id": 2, "name": "car"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "keypoints": [12.25, 7.5, 2], "num_keypoints": 1, "bbox": [0] * 4},
        {"id": 2, "image_id": 7, "category_id": 1, "keypoints": [30, 20, 1], "num_keypoints": 1},
        {"id": 3, "image_id": 7, "category_id": 2, "bbox": [40, 10, 8, 30], "area": 240, "iscrowd": 0},
    ],
}
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><name>street</name></task></meta>
<image id="0" name="photos/street.jpg" width="60" height="40">
<points label="man" source="manual" occluded="0" points="12.25,7.50;30.00,20.00" z_order="0"></points>
<box label="car" source="manual" occluded="1" xtl="40.00" ytl="10.00" xbr="48.00" ybr="40.00" z_order="0"></box>
</image></annotations>
"""
VOC = """<annotation verified="yes"><folder>photos</folder><filename>street.jpg</filename>
<size><width>60</width><height>40</height><depth>3</depth></size>
<object><name>car</name><pose>Unspecified</pose><difficult>0</difficult>
<bndbox><xmin>40</xmin><ymin>10</ymin><xmax>48</xmax><ymax>40</ymax></bndbox></object></annotation>
"""


def studio_result(kind: str, labels: list[str], **value: float) -> dict:
    """A result of Label Studio in per cent of 60 x 40 pixels."""
    size = {"original_width": 60, "original_height": 40, "image_rotation": 0}
    return {**size, "id": "a", "type": kind, "value": {**value, kind: labels}, "from_name": "kp", "to_name": "image"}


LABEL_STUDIO = [
    {
        "id": 3,
        "data": {"image": "/data/upload/2/0a1b2c3d-street.jpg"},
        "annotations": [
            {
                "id": 5,
                "was_cancelled": False,
                "result": [
                    studio_result("keypointlabels", ["man"], x=100 * 12.25 / 60, y=18.75, width=0.5),
                    studio_result("keypointlabels", ["man"], x=50, y=50, width=0.5),
                    studio_result("rectanglelabels", ["car"], x=4000 / 60, y=25, width=800 / 60, height=75, rotation=0),
                ],
            }
        ],
    }
]
VIA_REGIONS = [
    *(
        {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {"kind": "man"}}
        for x, y in POINTS
    ),
    {
        "shape_attributes": {"name": "rect", "x": 40, "y": 10, "width": 8, "height": 30},
        "region_attributes": {"kind": "car"},
    },
]
VIA = {"street.jpg999": {"filename": "street.jpg", "size": 999, "regions": VIA_REGIONS, "file_attributes": {}}}


def via_csv(regions: list[dict], count: int | None = None) -> str:
    """As VIA exports its regions; `count` is what each line says that they are."""
    heading = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"

    def quoted(value: object) -> str:
        return '"' + json.dumps(value).replace('"', '""') + '"'

    front = f'street.jpg,999,"{{}}",{count or len(regions)}'
    rows = [
        f"{front},{n},{quoted(region['shape_attributes'])},{quoted(region['region_attributes'])}"
        for n, region in enumerate(regions)
    ]
    return "\n".join([heading, *(rows or ['street.jpg,999,"{}",0,0,"{}","{}"'])]) + "\n"


TEXTS = {
    "labelme": ("street.json", json.dumps(LABELME)),
    "coco": ("instances.json", json.dumps(COCO)),
    "cvat": ("annotations.xml", CVAT),
    "voc": ("street.xml", VOC),
    "label_studio": ("project-1.json", json.dumps(LABEL_STUDIO)),
    "via": ("via.json", json.dumps(VIA)),
    "via project": ("project.json", json.dumps({"_via_settings": {}, "_via_img_metadata": VIA})),
    "via csv": ("via.csv", via_csv(VIA_REGIONS)),
    "csv": ("points.csv", ",image,x,y\n0,street.jpg,12.25,7.5\n1,street.jpg,30,20\n"),
    "csv alone": ("street.csv", "12.25,7.5\n30,20\n"),
    "jhu": ("street.txt", "12.25 7.5 4 5 1 0\n30 20 4 5 2 0\n"),
    "json_list": ("street.json", json.dumps({"img_id": "street.jpg", "human_num": 2, "points": POINTS})),
}
ONLY_POINTS = ("csv", "csv alone", "jhu", "json_list", "mat", "npy")
"""Examples without the box; that of VOC has nothing else."""


def write_example(folder: Path, case: str) -> Path:
    """Writes the example; the first word of `case` is the format's name."""
    folder.mkdir(parents=True, exist_ok=True)
    if case == "npy":
        np.save(folder / "street.npy", np.array(POINTS))
        return folder / "street.npy"
    if case == "mat":
        scipy.io.savemat(folder / "street_ann.mat", {"annPoints": np.array(POINTS) + 0.5})
        return folder / "street_ann.mat"
    name, text = TEXTS[case]
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


CASES = [*TEXTS, "npy", "mat"]
