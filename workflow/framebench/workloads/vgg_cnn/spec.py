"""The VGG-style net behind the article's charts (CIFAR-10 column; batch 64, SGD 0.01, momentum 0.9)."""

from framebench.workloads.layers import SGD, Conv, Dense, Dropout, Flatten, MaxPool, Workload

WORKLOAD = Workload(
    name="vgg-cnn",
    data="images",
    input_shape=(32, 32, 3),
    layers=(
        Conv("conv1", filters=50, kernel=3, padding="same"),
        Conv("conv2", filters=50, kernel=3, padding="same"),
        MaxPool(2),
        Dropout(0.25),
        Conv("conv3", filters=100, kernel=3, padding="same"),
        Conv("conv4", filters=100, kernel=3, padding="same"),
        MaxPool(2),
        Dropout(0.25),
        Flatten(),
        Dense("dense1", units=512, relu=True),
        Dropout(0.5),
        Dense("dense2", units=10, relu=False),
    ),
    optimizer=SGD(learning_rate=0.01, momentum=0.9),
    article_batch_size=64,
)
