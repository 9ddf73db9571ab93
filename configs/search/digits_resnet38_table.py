# All 4,096 schemes of a small supernet: an exact benchmark for search methods (python tools/benchmark.py search).
# Needs scikit-learn.
# Result: see results/search/digits_study.
# Hardware: 1 CPU core, a few minutes.
# Command: python tools/search.py configs/search/digits_resnet38_table.py
#          the same on recalibrated statistics: --cfg-options supernet.bn=recalibrated
supernet = dict(config="../supernet/digits_resnet38_full_sa_se.py", seed=0, bn="running")
search = dict(method="exhaustive", budget=4096)
