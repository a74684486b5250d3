"""The problems of which numbers were published in 2018 (rosetta-2018.csv), and the workloads that repeat them."""

GPUS = ["P100", "K80"]

# Problem, as rosetta-2018.csv names it → workload, in the order in which the article's charts draw them.
WORKLOADS = {
    "cnn_cifar10_training_s": "vgg-cnn",
    "gru_imdb_training_s": "gru-imdb",
    "resnet50_features_s_per_1000_images": "resnet50-features",
}
