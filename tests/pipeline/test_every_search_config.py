"""What holds for every search config of ours: a new one is tested without touching a test."""

import pytest

from transfer.engine.config_files import list_configs
from transfer.pipeline.config import read_search_config
from transfer.pipeline.stages.standalone import training_config
from transfer.pipeline.stages.supernet import supernet_config
from transfer.search.objective import Reward

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", list_configs("search"))
def test_it_is_read_and_so_are_the_configs_that_it_names(name):
    config = read_search_config(name)
    assert config.search.build(Reward()).objective == Reward()
    supernet = supernet_config(config)
    assert supernet.model.backbone.supernet
    if config.standalone is not None:
        assert training_config(config).task == supernet.task
