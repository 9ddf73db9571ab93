# tin200_resnet38_se.py by EAN's own method, policy gradient (mended), for comparison: the search alone.
# Result: see results/search/tin200_resnet38_ean_se.
# Hardware: 1 CPU core, about an hour once the supernet is trained.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/tin200_resnet38_ean_se.py --cfg-options
#          supernet.checkpoint=work_dirs/search_tin200_resnet38_se/supernet/iter_7500.pth (as an absolute path)
_base_ = "./tin200_resnet38_se.py"
search = dict(method="ean", args=dict(variant="fixed"))
standalone = None
