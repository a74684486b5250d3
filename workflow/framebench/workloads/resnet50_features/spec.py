"""ResNet-50 up to its average pool (the third problem of the article's charts; 224×224 images, batch 32, inference).

Version 1.5: in a block that halves the image, the 3×3 convolution has the stride, not the first 1×1 as in the paper (He
et al. 2016). The names are those of torchvision's ResNet-50.
"""

from framebench.workloads.layers import BatchNorm, Conv, GlobalAveragePool, Layer, MaxPool, Residual, Workload


def conv(name: str, filters: int, kernel: int, stride: int = 1) -> Conv:
    return Conv(name, filters, kernel, padding="same", stride=stride, bias=False, relu=False)


def norm(name: str, relu: bool) -> BatchNorm:
    return BatchNorm(name, relu, epsilon=1e-5)


def block(name: str, filters: int, stride: int, projects: bool) -> Residual:
    shortcut: tuple[Layer, ...] = (
        conv(f"{name}.downsample.0", 4 * filters, 1, stride),
        norm(f"{name}.downsample.1", relu=False),
    )
    return Residual(
        body=(
            conv(f"{name}.conv1", filters, 1),
            norm(f"{name}.bn1", relu=True),
            conv(f"{name}.conv2", filters, 3, stride),
            norm(f"{name}.bn2", relu=True),
            conv(f"{name}.conv3", 4 * filters, 1),
            norm(f"{name}.bn3", relu=False),
        ),
        shortcut=shortcut if projects else (),
    )


def stage(name: str, blocks: int, filters: int, stride: int) -> tuple[Residual, ...]:
    return tuple(block(f"{name}.{i}", filters, stride if i == 0 else 1, projects=i == 0) for i in range(blocks))


WORKLOAD = Workload(
    name="resnet50-features",
    data="large-images",
    input_shape=(224, 224, 3),
    layers=(
        conv("conv1", 64, 7, stride=2),
        norm("bn1", relu=True),
        MaxPool(3, stride=2, padding="same"),
        *stage("layer1", blocks=3, filters=64, stride=1),
        *stage("layer2", blocks=4, filters=128, stride=2),
        *stage("layer3", blocks=6, filters=256, stride=2),
        *stage("layer4", blocks=3, filters=512, stride=2),
        GlobalAveragePool(),
    ),
    optimizer=None,
    article_batch_size=32,
)
