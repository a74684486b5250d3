"""The problems of which numbers were published in 2018 (rosetta-2018.csv), and the workloads that repeat them."""

import pandas as pd

GPUS = ["P100", "K80"]

# Problem, as rosetta-2018.csv names it → workload, in the order in which the article's charts draw them.
WORKLOADS = {
    "cnn_cifar10_training_s": "vgg-cnn",
    "gru_imdb_training_s": "gru-imdb",
    "resnet50_features_s_per_1000_images": "resnet50-features",
}
# Framework, as printed there → as it is called here; the others are not measured here.
FRAMEWORKS = {
    "Tensorflow": "tensorflow",
    "PyTorch": "pytorch",
    "Pytorch": "pytorch",
    "Keras(TF)": "keras-tensorflow",
}
# What each time is of, by the notebooks: epochs · whole batches · batch size, and what a batch is.
SAMPLES = {
    "cnn_cifar10_training_s": 10 * 781 * 64,
    "gru_imdb_training_s": 3 * 390 * 64,
    "resnet50_features_s_per_1000_images": 1000,
}
BATCH_SIZES = {"cnn_cifar10_training_s": 64, "gru_imdb_training_s": 64, "resnet50_features_s_per_1000_images": 32}
# Keras trained the last batch of an epoch too, of the 50,000 images what the others leave over.
SAMPLES_OF_KERAS = SAMPLES | {"cnn_cifar10_training_s": 10 * 50_000}
# What besides the hardware and what drives it keeps such a time from being that of the workload.
DIFFERS = {
    "cnn_cifar10_training_s": (
        "software of 2018, one run of whole epochs fed from host memory; some notebooks pool before the ReLU, and "
        "Keras computes a metric of each batch"
    ),
    "gru_imdb_training_s": (
        "software of 2018, one run of whole epochs fed from host memory; some notebooks train the initial state"
    ),
    "resnet50_features_s_per_1000_images": (
        "software of 2018, one run that copies the features to the host; the frameworks' three ResNet-50 differ"
    ),
}
SOURCE = "github.com/ilkarman/DeepLearningFrameworks, its tables of June 2018"


def points(published: pd.DataFrame) -> pd.DataFrame:
    """The published times as speeds, in the columns of published-speeds.csv: samples by seconds.

    `published` is rosetta-2018.csv; a time that is missing there has no row.
    """
    rows = published.dropna(subset="value").reset_index(drop=True)
    samples = (
        rows["problem"]
        .map(SAMPLES)
        .mask(rows["framework"].str.contains("Keras"), rows["problem"].map(SAMPLES_OF_KERAS))
    )
    return pd.DataFrame(
        {
            "gpu": "Tesla " + rows["gpu"],
            "problem": rows["problem"].map(WORKLOADS),
            "framework": rows["framework"].replace(FRAMEWORKS),
            "year": 2018,
            "precision": "float32",
            "batch_size": rows["problem"].map(BATCH_SIZES),
            "images_per_s": samples / rows["value"],
            "source": SOURCE,
            "differs": rows["problem"].map(DIFFERS),
        }
    )
