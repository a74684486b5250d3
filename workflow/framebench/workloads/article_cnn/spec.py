"""The small net printed in the article, on 32×32 RGB images in ten classes.

The article prints no optimizer; that of the net behind its charts is used.
"""

from framebench.workloads.layers import SGD, Conv, Dense, Flatten, MaxPool, Workload

WORKLOAD = Workload(
    name="article-cnn",
    data="images",
    input_shape=(32, 32, 3),
    layers=(
        Conv("conv1", filters=32, kernel=3, padding="valid"),
        MaxPool(2),
        Conv("conv2", filters=16, kernel=3, padding="valid"),
        MaxPool(2),
        Flatten(),
        Dense("dense1", units=10, relu=False),
    ),
    optimizer=SGD(learning_rate=0.01, momentum=0.9),
    article_batch_size=128,
)
