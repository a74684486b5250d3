"""The problems with numbers published in 2018 (rosetta-2018.csv), and the workloads that repeat them."""

import pandas as pd

GPUS = ["P100", "K80"]

# Problem as named in rosetta-2018.csv → workload, in the order of the article's charts.
WORKLOADS = {
    "cnn_cifar10_training_s": "vgg-cnn",
    "gru_imdb_training_s": "gru-imdb",
    "resnet50_features_s_per_1000_images": "resnet50-features",
}
# Framework as printed there → its name here; the others are not measured here.
FRAMEWORKS = {
    "Tensorflow": "tensorflow",
    "PyTorch": "pytorch",
    "Pytorch": "pytorch",
    "Keras(TF)": "keras-tensorflow",
}
# Work behind each time, by the notebooks: epochs · whole batches · batch size, and the kind of samples.
SAMPLES = {
    "cnn_cifar10_training_s": 10 * 781 * 64,
    "gru_imdb_training_s": 3 * 390 * 64,
    "resnet50_features_s_per_1000_images": 1000,
}
BATCH_SIZES = {"cnn_cifar10_training_s": 64, "gru_imdb_training_s": 64, "resnet50_features_s_per_1000_images": 32}
# Keras also trained the last batch of an epoch, with the rest of the 50,000 images.
SAMPLES_OF_KERAS = SAMPLES | {"cnn_cifar10_training_s": 10 * 50_000}
# Reasons, besides hardware and drivers, why such a time may differ from the workload's.
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
    """The published times as speeds, in the columns of published-speeds.csv: samples divided by seconds.

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
