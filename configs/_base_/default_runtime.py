# What every run has, whatever the task.
default_scope = "mmengine"
log_processor = dict(by_epoch=False, window_size=50)
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")])
randomness = dict(seed=0)
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
log_level = "INFO"
