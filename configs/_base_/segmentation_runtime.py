# What every segmentation run has: names are looked up in mmsegmentation's registries first.
default_scope = "mmseg"
log_processor = dict(by_epoch=False, window_size=50)
visualizer = dict(
    type="SegLocalVisualizer",
    vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
    alpha=0.5,
)
randomness = dict(seed=0)
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
log_level = "INFO"
# Under torchrun on GPUs batch normalisation is synchronised; with one process, and on CPUs, it is not.
sync_bn = "torch"
tta_model = dict(type="SegTTAModel")
