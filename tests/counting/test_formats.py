"""Formats of annotations: each example by hand, told apart by its content, and what is wrong in a file."""

import json
from pathlib import PureWindowsPath

import pytest
from annotation_files import (
    BOX,
    CASES,
    COCO,
    CVAT,
    LABEL_STUDIO,
    LABELME,
    ONLY_POINTS,
    POINTS,
    VIA,
    VIA_REGIONS,
    VOC,
    studio_result,
    via_csv,
    write_example,
)

from backbones.errors import UserInputError
from tasks.counting.formats import find_format, get_format, known_formats, list_formats, read_file


def corners(mark):
    """(x, y), or a box's left, top, right, bottom."""
    if mark.width is None:
        return mark.x, mark.y
    return mark.x, mark.y, mark.x + mark.width, mark.y + mark.height


def expected(case):
    return ([] if case == "voc" else POINTS) + ([] if case in ONLY_POINTS else [BOX])


@pytest.mark.parametrize("case", CASES)
def test_an_example_is_told_by_its_content_and_read_exactly(tmp_path, case):
    path, name = write_example(tmp_path, case), case.split()[0]
    assert find_format(path) == name
    (annotated,) = read_file(path, name)
    assert PureWindowsPath(annotated.image).stem.removesuffix("_ann") == "street"
    assert annotated.size in (None, (60, 40))
    assert [corners(mark) for mark in annotated.marks] == [pytest.approx(place, abs=1e-12) for place in expected(case)]
    if case not in ONLY_POINTS:
        assert [mark.label for mark in annotated.marks] == ["man"] * (len(annotated.marks) - 1) + ["car"]


def test_every_format_has_an_example_and_is_told_from_all_others(tmp_path):
    assert {case.split()[0] for case in CASES} == set(list_formats())
    for case in CASES:
        path = write_example(tmp_path / case, case)
        fitting = [n for n in list_formats() if path.suffix in get_format(n).endings and get_format(n).sniff(path)]
        assert fitting == [case.split()[0]]


def test_formats_are_named_with_what_they_are():
    assert all(f"{name}: {get_format(name).title}" in known_formats() for name in list_formats())


def read(tmp_path, name, file, content):
    """What a format reads from a text or from JSON."""
    path = tmp_path / file
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return list(read_file(path, name))


TABLES = {
    "heading": "image,x,y\nstreet.jpg,12.25,7.5\nstreet.jpg,30,20\n",
    "upper case and a label": "X,Y,label\n12.25,7.5,head\n30,20,head\n",
    "behind": "12.25,7.5,street.jpg\n30,20,street.jpg\n",
    "an index by pandas": ",filename,x,y\n0,a/street.jpg,12.25,7.5\n1,a/street.jpg,30,20\n",
    "an index without a heading": "1,12.25,7.5\n2,30,20\n",
    "index and image without a heading": "0,street.jpg,12.25,7.5\n1,street.jpg,30,20\n",
    "decimal commas": "x;y\n12,25;7,5\n30;20\n",
    "tabs": "Image\tCenter X\tCenter Y\nstreet.jpg\t12.25\t7.5\nstreet.jpg\t30\t20\n",
    "blanks and a comment": "# by hand\n12.25 7.5\n\n30 20\n",
    "quoted, with a byte order mark": '\ufeff"file_name","x","y"\n"street.jpg",12.25,7.5\n"street.jpg",30,20\n',
    "other columns": "Area,x,y,Mean\n0,12.25,7.5,3\n0,30,20,4\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    path = tmp_path / "street.csv"
    path.write_text(TABLES[name], encoding="utf-8")
    assert find_format(path) == "csv"
    (annotated,) = read_file(path, "csv")
    assert annotated.image.rpartition("/")[2] in ("street", "street.jpg")
    assert [corners(mark) for mark in annotated.marks] == POINTS


def test_a_table_says_what_it_leaves_out(tmp_path):
    (annotated,) = read(tmp_path, "csv", "a.csv", TABLES["other columns"])
    assert annotated.notes == ("columns left out: Area, Mean",)
    (annotated,) = read(tmp_path, "csv", "a.csv", TABLES["an index without a heading"])
    assert annotated.notes == ("a first column that counts the rows left out",)


def test_a_table_of_many_images_and_of_boxes(tmp_path):
    rows = "filename,width,height,class,xmin,ymin,xmax,ymax\nb.jpg,60,40,car,40,10,48,40\na.jpg,60,40,van,0,0,2,4\n"
    one, other = read(tmp_path, "csv", "all.csv", rows)
    assert (one.image, other.image) == ("b.jpg", "a.jpg") and corners(one.marks[0]) == BOX
    assert other.marks[0].label == "van"
    empty, full = read(tmp_path, "csv", "all.csv", "image,x,y\nempty.jpg,,\nfull.jpg,1,2\n")
    assert empty.marks == [] and len(full.marks) == 1


def test_no_marks_is_valid_and_not_annotated_is_something_else(tmp_path):
    (annotated,) = read(tmp_path, "labelme", "street.json", {**LABELME, "shapes": []})
    assert annotated.marks == []
    for file in ("street.csv", "street.txt"):
        (annotated,) = read(tmp_path, "csv", file, "")
        assert (annotated.image, annotated.marks) == ("street", [])
        assert find_format(tmp_path / file) == "csv"
    (annotated,) = read(tmp_path, "via", "via.csv", via_csv([]))
    assert annotated.marks == []
    (task,) = LABEL_STUDIO
    nothing = {**task, "annotations": [{"result": []}]}
    skipped = {**task, "annotations": [{"result": [], "was_cancelled": True}]}
    found = read(tmp_path, "label_studio", "a.json", [nothing, skipped, {**task, "annotations": []}])
    assert [annotated.marks for annotated in found] == [[], None, None]


def test_what_stands_for_no_single_thing_is_noted(tmp_path):
    skeleton = {
        "id": 9,
        "image_id": 7,
        "category_id": 1,
        "keypoints": [1, 2, 2, 3, 4, 2, 0, 0, 0],
        "bbox": [40, 10, 8, 30],
    }
    crowd = {"id": 10, "image_id": 7, "bbox": [0, 0, 50, 30], "iscrowd": 1}
    (annotated,) = read(tmp_path, "coco", "a.json", {**COCO, "annotations": [skeleton, crowd]})
    assert [corners(mark) for mark in annotated.marks] == [BOX]
    assert annotated.notes == ("1 boxes around many (iscrowd) left out", "1 skeletons taken by their boxes")
    tagged = CVAT.replace("<points", '<tag label="night"></tag><points')
    (annotated,) = read(tmp_path, "cvat", "a.xml", tagged)
    assert annotated.notes == ("1 tags of the whole image left out",) and len(annotated.marks) == 3


def studio(*results, **task):
    return [{**LABEL_STUDIO[0], "annotations": [{"result": list(results)}], **task}]


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("/data/upload/1/0a1b2c3d-a%20b.jpg", "a b.jpg"),
        ("/data/local-files/?d=photos/0a1b2c3d-a.jpg", "photos/0a1b2c3d-a.jpg"),
        ("https://example.org/x/a.png?width=3", "/x/a.png"),
        ("s3://bucket/a.png", "/a.png"),
    ],
)
def test_label_studio_names_images_by_addresses(tmp_path, address, image):
    (annotated,) = read(tmp_path, "label_studio", "a.json", studio(data={"img": address, "id": "4"}))
    assert annotated.image == image


def test_a_turned_rectangle_keeps_its_centre(tmp_path):
    # 60 x 40 pixels: 12 wide and 4 high, turned clockwise by a right angle about its corner (30, 10).
    turned = studio_result("rectanglelabels", ["car"], x=50, y=25, width=20, height=10, rotation=90)
    (annotated,) = read(tmp_path, "label_studio", "a.json", studio(turned))
    assert corners(annotated.marks[0]) == pytest.approx((26, 10, 30, 22))


def shape(**changes):
    return {**LABELME, "shapes": [{**RECT, **changes}]}


RECT = LABELME["shapes"][-1]
WRONG = {
    "polygon": (
        "labelme",
        shape(shape_type="polygon"),
        "shape 1 is 'polygon', expected a point",
    ),
    "no kind": ("labelme", shape(shape_type=None), "shape 1 is None, expected a point"),
    "infinite": (
        "labelme",
        shape(points=[[1, 2], [float("inf"), 3]]),
        "shape 1: coordinate 'inf' is not",
    ),
    "truth": ("labelme", shape(points=[[1, 2], [True, 3]]), "coordinate 'True'"),
    "huge": ("labelme", shape(points=[[1, 2], [10**400, 3]]), "coordinate '1000"),
    "one corner": ("labelme", shape(points=[[1, 2]]), "is not in the format labelme (ValueError"),
    "renamed": ("labelme", {**LABELME, "imagePath": "other.jpg"}, "imagePath is 'other.jpg', expected an image called"),
    "neither": ("coco", {**COCO, "annotations": [{"id": 1, "image_id": 7}]}, "0 visible keypoints and no bbox"),
    "of no image": (
        "coco",
        {**COCO, "annotations": [{"id": 1, "image_id": 8}]},
        "image 8, which is none of",
    ),
    "ids twice": ("coco", {**COCO, "images": COCO["images"] * 2}, "two of its images have the same id"),
    "negative": (
        "coco",
        {**COCO, "annotations": [{"id": 1, "image_id": 7, "bbox": [4, 4, -1, 2]}]},
        "bbox [4, 4, -1, 2] has a negative size",
    ),
    "pairs": ("coco", {**COCO, "annotations": [{"id": 1, "image_id": 7, "keypoints": [1, 2]}]}, "not in threes"),
    "video": ("cvat", CVAT.replace("<image ", "<track></track><image "), "tracks of a video, expected images"),
    "polyline": ("cvat", CVAT.replace("box", "polyline"), "street.jpg: polyline is 'polyline', expected a point"),
    "no corner": ("cvat", CVAT.replace("xtl", "left"), "is not in the format cvat (KeyError"),
    "cut": ("cvat", CVAT[:-20], "is not XML"),
    "corner": ("voc", VOC.replace("xmin>", "left>"), "object 1: coordinate 'None' is not a finite number"),
    "brush": ("label_studio", studio(studio_result("brushlabels", ["x"], x=1, y=1)), "a result is 'brushlabels'"),
    "two": ("label_studio", studio(annotations=[{"result": []}] * 2), "has 2 annotations, expected one"),
    "rotated": (
        "label_studio",
        studio({**studio_result("keypointlabels", ["x"], x=1, y=1), "image_rotation": 90}),
        "turned by 90 degrees",
    ),
    "no image": ("label_studio", studio(data={"text": "hello"}), "name 0 images, expected one"),
    "circle": (
        "via",
        {"a": {"filename": "a.jpg", "regions": [{"shape_attributes": {"name": "circle", "cx": 1, "cy": 2, "r": 3}}]}},
        "a.jpg: region 1 is 'circle'",
    ),
    "no place": ("csv", "image,y\na.jpg,3\n", "its columns are image, y, expected x and y"),
    "three": ("csv", "5,6,7\n8,9,10\n", "begins with '5, 6, 7', expected x and y"),
    "words": ("csv", "1,2,head\n3,4,head\n", "begins with '1, 2, head', expected x and y"),
    "ragged": ("csv", "x,y\n1,2\n3,4,5\n", "line 3 has 3 cells, expected 2 as in the first one"),
    "row names": ("csv", "x,y\n1,2,3\n2,3,4\n", "line 2 has 3 cells, expected 2"),
    "word": ("csv", "x,y\n1,two\n", "line 2: coordinate 'two' is not a finite number"),
    "gap": ("csv", "x,y\n1,\n", "line 2: coordinate '' is not"),
    "corner or centre": ("csv", "x,y,w,h\n1,2,3,4\n", "may be a box's corner or its centre"),
    "nameless": ("csv", "image,x,y\n,1,2\n", "line 2 names no image"),
    "five columns": ("jhu", "1 2 3 4 5\n", "expected 6 finite numbers"),
    "missing": ("json_list", {"human_num": 3, "points": [[1, 2]]}, "says 3 points (human_num) and lists 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_one_line_that_names_the_file(tmp_path, case):
    name, content, line = WRONG[case]
    file = f"street{get_format(name).endings[-1 if name == 'via' else 0]}"
    with pytest.raises(UserInputError) as error:
        read(tmp_path, name, file, content)
    assert line in str(error.value) and file in str(error.value) and "\n" not in str(error.value)


def test_a_cut_list_of_regions_is_noticed(tmp_path):
    with pytest.raises(UserInputError, match="says 4 regions and lists 3"):
        read(tmp_path, "via", "via.csv", via_csv(VIA_REGIONS, count=4))


def test_regions_of_version_1_are_numbered(tmp_path):
    numbered = {"a": {**VIA["street.jpg999"], "regions": {str(n): region for n, region in enumerate(VIA_REGIONS)}}}
    (annotated,) = read(tmp_path, "via", "via.json", numbered)
    assert len(annotated.marks) == 3


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
DOCTYPES = [
    f'<!DOCTYPE x [<!ENTITY a0 "lol">{BOMB}]><annotations>&a9;</annotations>',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>',
    "<!DOCTYPE annotations><annotations/>",
]


@pytest.mark.parametrize("text", DOCTYPES)
def test_xml_with_a_document_type_is_refused(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserInputError, match=r"a\.xml: declares a document type, expected plain XML"):
        find_format(tmp_path / "a.xml")


@pytest.mark.parametrize(("file", "text"), [("a.json", '{"a": ' * 100_000), ("a.json", "[" * 100_000)])
def test_deep_json_is_refused(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    with pytest.raises(UserInputError, match=r"a\.json: is nested too deeply"):
        find_format(tmp_path / file)


@pytest.mark.parametrize("file", ["a.json", "a.xml", "a.csv"])
def test_files_are_bounded_before_they_are_parsed(tmp_path, monkeypatch, file):
    monkeypatch.setenv("TRANSFER_MAX_ANNOTATIONS", "1")
    (tmp_path / file).write_bytes(b" " * (1 << 20) + b" ")
    with pytest.raises(UserInputError, match="expected 1 MiB at most"):
        find_format(tmp_path / file)


def test_a_file_that_has_changed_is_read_again(tmp_path):
    (first,) = read(tmp_path, "json_list", "a.json", [[1, 2]])
    (second,) = read(tmp_path, "json_list", "a.json", [[1, 2], [3, 4]])
    assert (len(first.marks), len(second.marks)) == (1, 2)


def test_bytes_are_no_text(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserInputError, match="is not text in UTF-8"):
        find_format(tmp_path / "a.json")
