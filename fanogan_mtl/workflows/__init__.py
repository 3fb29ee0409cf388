"""One module an entry point, its story from top to bottom. Only these know the sweep and the tracking both."""

DEFAULT_DETECTORS = "fanogan,vae,deep_svdd,dagmm,pca,knn,iforest"
DEFAULT_HYBRID_DETECTORS = "fanogan,knn,pca"
DEFAULT_EXTRACTORS = "resnet18"
DEFAULT_PRETRAINED = "resnet18,lenet5,pca"
DEFAULT_TUNED = "fanogan"
