# RARTS thesis, Table 4.1, CIFAR-100: PreResNet-164, 40 % of the channels pruned. Learning rate 0.1, weight decay 1e-4,
# 160 epochs, gamma 1e-4, from scratch; channels are ranked over the whole network, as there. Ours: lambda and beta,
# which the thesis does not state, batches of 128, D_train of 40,000 images, a tenth of each site always kept, and
# recalibrated statistics before the fine-tuning. With knowledge distillation:
# --cfg-options finetune.distill.temperature=4.0
# Result: not yet run on a GPU. Published: 22.64 % error, 21.63 % with distillation.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/width_c100_preresnet164_rarts_40.py
dense = dict(config="../width/c100_preresnet164.py", seed=0)
width = dict(
    method="rarts",
    keep=dict(channels=0.6),
    start="scratch",
    rank="global",
    epochs=160,
    gamma=1e-4,
    lr=0.1,
    schedule="steps",
    seed=0,
)
finetune = dict(config="../width/c100_preresnet164.py", seed=0)
