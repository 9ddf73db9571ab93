"""Loading that accepts no doubtful file; every other transform is mmsegmentation's."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from backbones.errors import UserInputError
from tasks.segmentation.masks import read_mask, size_text, wrong_ids, wrong_ids_text
from transfer.engine.images import read_image


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Reads `img_path` as BGR uint8 (H, W, 3), as `LoadImageFromFile` does, but refuses truncated files.

    OpenCV fills what is missing with grey and goes on.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Sets `img`, `img_shape` and `ori_shape`."""
        image = np.ascontiguousarray(read_image(results["img_path"])[..., ::-1])
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadMask(BaseTransform):
    """Reads `seg_map_path` as `LoadAnnotations` does, but refuses masks of another size and unknown ids.

    Belongs to `VOCLayoutDataset`, which says how many classes there are.

    Raises:
        UserInputError: names the file and what is wrong with it.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Sets `gt_seg_map` (H, W), uint8, of the size that the image has in its file."""
        path, wanted = results["seg_map_path"], tuple(results["ori_shape"])
        mask = read_mask(path)
        if mask.shape != wanted:
            raise UserInputError(
                f"{path}: the mask is {size_text(mask.shape)}, expected {size_text(wanted)} as {results['img_path']}"
            )
        classes, ignored = results["num_classes"], results["ignore_index"]
        if wrong := wrong_ids(mask, classes, ignored):
            raise UserInputError(f"{path}: {wrong_ids_text(wrong, classes, ignored)}")
        results["gt_seg_map"] = mask
        results["seg_fields"].append("gt_seg_map")
        return results
