"""What holds for every search config of ours: a new one is tested without touching a test."""

import pytest

from transfer.engine.config_files import list_configs
from transfer.pipeline import run as schemes
from transfer.pipeline.stages.supernet import supernet_config
from transfer.pipeline.width import run as widths
from transfer.pipeline.width.config import WidthSearchConfig, read_any_config

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", list_configs("search"))
def test_it_is_read_and_so_is_what_it_names(name):
    config = read_any_config(name)
    if isinstance(config, WidthSearchConfig):
        widths.check_config(config)
        return
    schemes.check_config(config)
    assert supernet_config(config).model.backbone.supernet
