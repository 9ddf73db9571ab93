# c100_resnet38_ean_se.py with measured time in the place of sparsity: the inference-time increment of each block is
# measured on this machine before the search (latency.json in the work directory), and lambda1 weighs the share of the
# greatest increment that a scheme does without.
# Result: not yet run.
# Hardware: one GPU, or days on 2 CPU cores (see c100_resnet38_ean_se_20ep.py).
# Command: python tools/search.py configs/search/c100_resnet38_ean_se_time.py
_base_ = "./c100_resnet38_ean_se.py"
search = dict(objective=dict(kind="time", lambda1=2.0, lambda2=1.0))
