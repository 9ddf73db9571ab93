# width_c100_preresnet164_rarts_40.py, but 60 % of the channels pruned.
# Result: not yet run on a GPU. Published: 23.26 % error, 22.38 % with distillation.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/width_c100_preresnet164_rarts_60.py
_base_ = "./width_c100_preresnet164_rarts_40.py"
width = dict(keep=dict(channels=0.4))
