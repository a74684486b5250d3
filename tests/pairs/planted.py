"""Pairs with exactly one planted difference, each made of an equal pair by an edit of its text."""

import shutil
from dataclasses import dataclass
from pathlib import Path

EQUAL = Path(__file__).parent / "equal"


@dataclass(frozen=True)
class Plant:
    """One planted difference, and the proof's expected answer.

    `edits` are (file, text that is there exactly once, new text). `keras` and `pytorch` are the names that are right
    for the first different layer: several if the fault lies between two layers, none if that side has no such layer.
    The likely cause must contain one of the words of `cause`, in any case.
    """

    name: str
    pair: str
    edits: tuple[tuple[str, str, str], ...]
    outcome: str
    keras: tuple[str, ...]
    pytorch: tuple[str, ...]
    cause: tuple[str, ...]


def plant(difference: Plant, into: Path) -> Path:
    """Write the planted pair below `into` and return its folder."""
    folder = into / difference.name
    shutil.copytree(EQUAL / difference.pair, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in difference.edits:
        text = (folder / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{difference.name}: {old!r} stands {text.count(old)} times in {difference.pair}/{name}")
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    return folder


# Every forward pass differs.
IN_THE_FORWARD_PASS = (
    Plant(
        "strided-padding",
        "plain-cnn",
        (
            ("keras.py", "            layers.ZeroPadding2D(1),\n", ""),
            ("keras.py", "24, 3, strides=2, ", '24, 3, strides=2, padding="same", '),
        ),
        "different",
        ("conv2d_1",),
        ("2",),
        ("padding",),
    ),
    Plant(
        "causal-padding",
        "causal-conv",
        (("keras.py", 'padding="causal"', 'padding="same"'),),
        "different",
        ("conv1d_1",),
        ("blocks.0", "blocks.0.conv"),
        ("padding",),
    ),
    Plant(
        "dilation",
        "causal-conv",
        (("pytorch.py", "CausalBlock(16, 4)", "CausalBlock(16, 2)"),),
        "different",
        ("conv1d_5",),
        ("blocks.2", "blocks.2.conv"),
        ("dilation", "padding"),
    ),
    Plant(
        "stride-in-the-other-convolution",
        "resnet-bottleneck",
        (
            ("keras.py", "conv_bn(x, filters, 1))", "conv_bn(x, filters, 1, strides))"),
            ("keras.py", "conv_bn(x, filters, 3, strides)", "conv_bn(x, filters, 3)"),
        ),
        "different",
        ("conv2d_9",),
        ("layer2.0.conv1",),
        ("stride",),
    ),
    Plant(
        "patch-order",
        "transformer-qkv",
        (("pytorch.py", "x.flatten(2).transpose(1, 2)", "x.flatten(2).reshape(len(x), 16, -1)"),),
        "different",
        ("reshape", "positions", "multi_head_attention"),
        ("", "positions", "block1", "block1.attn", "block1.attn.query", "block1.attn.key", "block1.attn.value"),
        ("order", "flatten", "reshape", "transpose"),
    ),
    Plant(
        "missing-bias",
        "mlp-regression",
        (("pytorch.py", "self.fc2 = nn.Linear(32, 32)", "self.fc2 = nn.Linear(32, 32, bias=False)"),),
        "different",
        ("dense_1",),
        ("fc2",),
        ("bias",),
    ),
    Plant(
        "missing-bias-before-a-norm",
        "mobilenet",
        (("keras.py", 'padding="same", use_bias=False', 'padding="same"'),),
        "different",
        ("conv2d",),
        ("features.0.0",),
        ("bias",),
    ),
    Plant(
        "activation",
        "mlp-regression",
        (("pytorch.py", "torch.tanh(self.fc2(x))", "torch.relu(self.fc2(x))"),),
        "different",
        ("dense_1",),
        ("fc2", "dropout"),
        ("activation",),
    ),
    Plant(
        "slope-of-leaky-relu",
        "squeeze-excite",
        (("pytorch.py", "nn.LeakyReLU(0.1, inplace=True)", "nn.LeakyReLU(inplace=True)"),),
        "different",
        ("leaky_re_lu",),
        ("2",),
        ("activation", "slope", "leaky"),
    ),
    # Keras counts the groups of a depthwise convolution by its channels.
    Plant(
        "padding-of-a-strided-depthwise-convolution",
        "mobilenet",
        (
            ("keras.py", "    x = layers.ZeroPadding2D(1)(x)\n", ""),
            ("keras.py", "(3, strides=stride, ", '(3, strides=stride, padding="same", '),
        ),
        "different",
        ("depthwise_conv2d",),
        ("features.1.0.0",),
        ("padding",),
    ),
    # The softmax cancels it, so no result differs.
    Plant(
        "missing-bias-of-keys",
        "transformer-qkv",
        (("pytorch.py", "self.key = nn.Linear(dim, dim)", "self.key = nn.Linear(dim, dim, bias=False)"),),
        "different",
        ("multi_head_attention",),
        ("block1.attn.key",),
        ("bias",),
    ),
    Plant(
        "missing-bias-of-queries",
        "transformer-qkv",
        (("pytorch.py", "self.query = nn.Linear(dim, dim)", "self.query = nn.Linear(dim, dim, bias=False)"),),
        "different",
        ("multi_head_attention",),
        ("block1.attn.query",),
        ("bias",),
    ),
    Plant(
        "weight-norm",
        "mlp-regression",
        (
            (
                "pytorch.py",
                "self.fc2 = nn.Linear(32, 32)",
                "self.fc2 = nn.utils.parametrizations.weight_norm(nn.Linear(32, 32))",
            ),
        ),
        "different",
        ("dense_1",),
        ("fc2",),
        ("weight_norm",),
    ),
    Plant(
        "norm-that-only-pytorch-has",
        "mobilenet",
        (("pytorch.py", "nn.AdaptiveAvgPool2d(1)\n", "nn.BatchNorm2d(64), nn.AdaptiveAvgPool2d(1)\n"),),
        "different",
        (),
        ("features.4",),
        ("only pytorch.py has",),
    ),
    Plant(
        "layer-norm-for-rms-norm",
        "gated-mlp",
        (("pytorch.py", "nn.RMSNorm(DIM, eps=1e-6)", "nn.LayerNorm(DIM, eps=1e-6, bias=False)"),),
        "different",
        ("rms_normalization",),
        ("layers.0.norm",),
        ("kind of norm",),
    ),
    Plant(
        "reversed-series",
        "gru",
        (("pytorch.py", "self.rnn(self.emb(x))", "self.rnn(self.emb(x).flip(1))"),),
        "different",
        ("gru",),
        ("rnn",),
        ("direction",),
    ),
    Plant(
        "first-step",
        "gru",
        (("pytorch.py", "out[:, -1]", "out[:, 0]"),),
        "different",
        ("gru", "dropout", "dense"),
        ("rnn", "drop", "fc"),
        ("another input", "position"),
    ),
    # Token 0 must be among the inputs for this to be seen.
    Plant(
        "masked-padding",
        "gru",
        (("keras.py", "layers.Embedding(400, 24)", "layers.Embedding(400, 24, mask_zero=True)"),),
        "different",
        ("gru",),
        ("rnn",),
        ("mask",),
    ),
    Plant(
        "rescaling",
        "plain-cnn",
        (
            (
                "keras.py",
                "keras.Input((32, 32, 3)),\n",
                "keras.Input((32, 32, 3)),\n            layers.Rescaling(1 / 255),\n",
            ),
        ),
        "different",
        ("rescaling", "conv2d"),
        ("0",),
        ("only keras has",),
    ),
    Plant(
        "order-of-the-logits",
        "unet",
        (("pytorch.py", "return self.out(x)", "return self.out(x).flip(3)"),),
        "different",
        ("conv2d_10",),
        ("out", ""),
        ("order",),
    ),
    # Seen only if an activation is above 6.
    Plant(
        "relu6",
        "mobilenet",
        (("pytorch.py", "nn.ReLU6()", "nn.ReLU()"),),
        "different",
        ("re_lu", "batch_normalization"),
        ("features.0.2", "features.0.1"),
        ("activation", "relu6"),
    ),
    Plant(
        "gru-reset-after",
        "gru",
        (("keras.py", "layers.GRU(32)", "layers.GRU(32, reset_after=False)"),),
        "different",
        ("gru",),
        ("rnn",),
        ("reset_after", "gate"),
    ),
    # The shapes of all weights are the same here.
    Plant(
        "gru-reset-after-without-bias",
        "gru",
        (
            ("keras.py", "layers.GRU(32)", "layers.GRU(32, use_bias=False, reset_after=False)"),
            ("pytorch.py", "nn.GRU(24, 32, ", "nn.GRU(24, 32, bias=False, "),
        ),
        "different",
        ("gru",),
        ("rnn",),
        ("reset_after", "gate"),
    ),
    Plant(
        "causal-mask",
        "transformer-mha",
        (("keras.py", "key_dim=DIM // HEADS)(y, y)", "key_dim=DIM // HEADS)(y, y, use_causal_mask=True)"),),
        "different",
        ("multi_head_attention",),
        ("layers.0.self_attn",),
        ("mask", "causal"),
    ),
    Plant(
        "causal-mask-missing",
        "tied-gpt",
        (("pytorch.py", "(q, k, v, is_causal=True)", "(q, k, v)"),),
        "different",
        ("multi_head_attention",),
        ("h.0.attn", "h.0.attn.c_proj"),
        ("mask", "causal"),
    ),
    Plant(
        "attention-scale",
        "transformer-qkv",
        (("pytorch.py", "math.sqrt(d // self.heads)", "math.sqrt(d)"),),
        "different",
        ("multi_head_attention",),
        ("block1.attn", "block1.attn.proj"),
        ("scale",),
    ),
    Plant(
        "attention-scale-fused",
        "tied-gpt",
        (("pytorch.py", "is_causal=True", "is_causal=True, scale=1.0"),),
        "different",
        ("multi_head_attention",),
        ("h.0.attn", "h.0.attn.c_proj"),
        ("scale",),
    ),
    # The shapes of all weights are the same here too.
    Plant(
        "number-of-heads",
        "transformer-mha",
        (("pytorch.py", "= 32, 4, 32, 500", "= 32, 2, 32, 500"),),
        "different",
        ("multi_head_attention",),
        ("layers.0.self_attn",),
        ("head",),
    ),
    Plant(
        "groups-of-group-norm",
        "group-norm",
        (("pytorch.py", "self.norm2 = nn.GroupNorm(4, width)", "self.norm2 = nn.GroupNorm(8, width)"),),
        "different",
        ("group_normalization_1",),
        ("1.norm2",),
        ("group",),
    ),
    Plant(
        "average-pooling",
        "plain-cnn",
        (("pytorch.py", "nn.MaxPool2d(2),\n        nn.Flatten()", "nn.AvgPool2d(2),\n        nn.Flatten()"),),
        "different",
        ("max_pooling2d_1",),
        ("7",),
        ("pool",),
    ),
    Plant(
        "average-pooling-by-a-function",
        "text-cnn",
        (("pytorch.py", ".max(dim=2).values", ".mean(dim=2)"),),
        "different",
        ("global_max_pooling1d", "conv1d", "concatenate", "dropout"),
        ("", "convs.0", "dropout"),
        ("pool", "mean", "average"),
    ),
    Plant(
        "pooling-padding",
        "resnet-bottleneck",
        (
            ("keras.py", "    x = layers.ZeroPadding2D(1)(x)\n", ""),
            ("keras.py", "MaxPooling2D(3, strides=2)", 'MaxPooling2D(3, strides=2, padding="same")'),
        ),
        "different",
        ("max_pooling2d",),
        ("maxpool",),
        ("padding", "pool"),
    ),
    Plant(
        "pooling-counts-padding",
        "inception",
        (("pytorch.py", ", count_include_pad=False", ""),),
        "different",
        ("average_pooling2d",),
        ("mixed1.pool.0",),
        ("padding", "pool"),
    ),
    Plant(
        "post-norm",
        "transformer-mha",
        (
            (
                "pytorch.py",
                "        y = self.norm1(x)\n        y, _ = self.self_attn(y, y, y, ",
                "        y, _ = self.self_attn(x, x, x, ",
            ),
            ("pytorch.py", "x = x + self.dropout1(y)", "x = self.norm1(x + self.dropout1(y))"),
            ("pytorch.py", "self.linear1(self.norm2(x))", "self.linear1(x)"),
            ("pytorch.py", "return x + self.dropout2(y)", "return self.norm2(x + self.dropout2(y))"),
        ),
        "different",
        ("layer_normalization", "multi_head_attention"),
        ("layers.0", "layers.0.norm1", "layers.0.self_attn"),
        ("norm",),
    ),
    Plant(
        "shortcut-missing",
        "group-norm",
        (("pytorch.py", "return x + h", "return h"),),
        "different",
        ("add", "conv2d_2", "group_normalization_2"),
        ("1", "1.conv2", "2.norm1"),
        ("shortcut", "residual", "sum", "add"),
    ),
    Plant(
        "layer-missing",
        "mlp-regression",
        (
            ("pytorch.py", "        self.fc3 = nn.Linear(32, 32)\n", ""),
            ("pytorch.py", "        x = torch.tanh(self.fc3(x))\n", ""),
        ),
        "different",
        # Two layers of one shape: either may be named as the extra one.
        ("dense_2", "dense_1"),
        (),
        ("missing", "lacks", "no counterpart", "only in", "unmatched", "parameters"),
    ),
    Plant(
        "nearest-upsampling",
        "upsampling",
        (("pytorch.py", 'mode="bilinear", align_corners=False', 'mode="nearest"'),),
        "different",
        ("up_sampling2d", "add"),
        ("", "c3", "lateral2"),
        ("interpolation", "bilinear", "nearest", "upsampling"),
    ),
    Plant(
        "aligned-corners",
        "upsampling",
        (("pytorch.py", "align_corners=False", "align_corners=True"),),
        "different",
        ("up_sampling2d", "add"),
        ("", "c3", "lateral2"),
        ("interpolation", "bilinear", "align", "upsampling"),
    ),
    Plant(
        "tied-on-one-side",
        "tied-gpt",
        (("pytorch.py", "        self.lm_head.weight = self.wte.weight\n", ""),),
        "different",
        ("embedding", "gpt"),
        ("lm_head", "wte"),
        ("tied", "tying", "shared"),
    ),
    Plant(
        "probabilities",
        "plain-cnn",
        (("keras.py", "layers.Dense(10)", 'layers.Dense(10, activation="softmax")'),),
        "different",
        ("dense_1",),
        ("12",),
        ("softmax", "probabilit"),
    ),
    # The loss and its gradients are the same: cross entropy takes the log-softmax once more, which changes nothing.
    Plant(
        "log-probabilities",
        "plain-cnn",
        (("pytorch.py", "nn.Linear(64, 10),", "nn.Linear(64, 10),\n        nn.LogSoftmax(dim=1),"),),
        "different",
        ("dense_1",),
        ("12", "13"),
        ("softmax", "probabilit"),
    ),
    Plant(
        "probabilities-of-pixels",
        "unet",
        (("keras.py", "layers.Conv2D(1, 1)", 'layers.Conv2D(1, 1, activation="sigmoid")'),),
        "different",
        ("conv2d_10",),
        ("out",),
        ("sigmoid", "probabilit"),
    ),
)

# Evaluation is equal.
IN_TRAINING_ONLY = (
    Plant(
        "batch-norm-never-trains",
        "subclassed-cnn",
        (("keras.py", "self.bn(self.conv(x), training=training)", "self.bn(self.conv(x), training=False)"),),
        "different",
        # The block that runs first is built last.
        ("batch_normalization_2",),
        ("blocks.0.bn",),
        ("training", "eval", "statistics"),
    ),
    Plant(
        "batch-norm-kept-in-evaluation-mode",
        "mobilenet",
        (
            (
                "pytorch.py",
                "    def forward(self, x):\n",
                "    def train(self, mode=True):\n"
                "        super().train(mode)\n"
                "        for module in self.modules():\n"
                "            if isinstance(module, nn.BatchNorm2d):\n"
                "                module.eval()\n"
                "        return self\n\n"
                "    def forward(self, x):\n",
            ),
        ),
        "different",
        ("batch_normalization",),
        ("features.0.1",),
        ("training", "eval", "statistics"),
    ),
    Plant(
        "frozen-layer",
        "mlp-mixer",
        (("pytorch.py", "DIM, PATCH, PATCH)\n", "DIM, PATCH, PATCH).requires_grad_(False)\n"),),
        "different",
        ("conv2d",),
        ("stem",),
        ("frozen", "trainable", "requires_grad"),
    ),
    # Dropout must not hide other differences in training.
    Plant(
        "constraint-beside-dropout",
        "plain-cnn",
        (
            (
                "keras.py",
                'layers.Dense(64, activation="relu")',
                'layers.Dense(64, activation="relu", kernel_constraint=keras.constraints.MaxNorm(0.5))',
            ),
        ),
        "different",
        ("dense",),
        ("10",),
        ("constraint",),
    ),
    Plant(
        "augmentation-beside-dropout",
        "plain-cnn",
        (
            (
                "keras.py",
                "keras.Input((32, 32, 3)),\n",
                'keras.Input((32, 32, 3)),\n            layers.RandomFlip("horizontal"),\n',
            ),
        ),
        "different",
        ("random_flip", "conv2d"),
        ("0",),
        ("random",),
    ),
    Plant(
        "row-that-is-not-trained",
        "gru",
        (("pytorch.py", "nn.Embedding(400, 24)", "nn.Embedding(400, 24, padding_idx=0)"),),
        "different",
        ("embedding",),
        ("emb",),
        ("padding_idx",),
    ),
    # In Keras a frozen batch norm also uses its running statistics.
    Plant(
        "frozen-batch-norm",
        "resnet-bottleneck",
        (("keras.py", "momentum=0.9, epsilon=1e-5)", "momentum=0.9, epsilon=1e-5, trainable=False)"),),
        "different",
        ("batch_normalization",),
        ("bn1",),
        ("frozen", "trainable", "statistics"),
    ),
)

# Differences of the closed list: the nets are equal but for them.
EQUAL_BUT = (
    Plant(
        "epsilon-of-batch-norm",
        "resnet-bottleneck",
        (("keras.py", "epsilon=1e-5", "epsilon=1e-3"),),
        "equal_but",
        ("batch_normalization",),
        ("bn1",),
        ("epsilon",),
    ),
    Plant(
        "epsilon-of-layer-norm",
        "mlp-mixer",
        (("pytorch.py", "self.norm = nn.LayerNorm(DIM)", "self.norm = nn.LayerNorm(DIM, eps=1e-6)"),),
        "equal_but",
        ("layer_normalization_4",),
        ("norm",),
        ("epsilon",),
    ),
    # Without eps, PyTorch takes the spacing of the input's type, which is another number in float64 than in float32.
    Plant(
        "epsilon-of-rms-norm",
        "gated-mlp",
        (("pytorch.py", "nn.RMSNorm(DIM, eps=1e-6)", "nn.RMSNorm(DIM)"),),
        "equal_but",
        ("rms_normalization",),
        ("layers.0.norm",),
        ("epsilon",),
    ),
    Plant(
        "momentum-of-batch-norm",
        "mobilenet",
        (("keras.py", "momentum=0.9", "momentum=0.99"),),
        "equal_but",
        ("batch_normalization",),
        ("features.0.1",),
        ("momentum",),
    ),
    Plant(
        "epsilon-of-adam",
        "mlp-regression",
        (
            (
                "problem.yaml",
                "name: adam, learning_rate: 0.001",
                "name: adam, learning_rate: 0.001, epsilon: {keras: 1.0e-7, pytorch: 1.0e-8}",
            ),
        ),
        "equal_but",
        (),
        (),
        ("epsilon",),
    ),
    Plant(
        "dropout-rate",
        "plain-cnn",
        (("pytorch.py", "nn.Dropout(0.3)", "nn.Dropout(0.5)"),),
        "equal_but",
        ("dropout",),
        ("9",),
        ("dropout",),
    ),
    Plant(
        "dropout-rate-within-lstm",
        "stacked-lstm",
        (("pytorch.py", "dropout=0.2", "dropout=0.4"),),
        "equal_but",
        ("dropout",),
        ("lstm",),
        ("dropout",),
    ),
    Plant(
        "dropout-in-pytorch-only",
        "gru",
        (("keras.py", "    model.add(layers.Dropout(0.2))\n", ""),),
        "equal_but",
        (),
        ("drop",),
        ("dropout",),
    ),
    # The module is still there, but never runs.
    Plant(
        "dropout-declared-and-not-run",
        "gru",
        (("pytorch.py", "self.drop(out[:, -1])", "out[:, -1]"),),
        "equal_but",
        ("dropout",),
        (),
        ("dropout",),
    ),
    Plant(
        "dropout-in-keras-only",
        "subclassed-cnn",
        (("pytorch.py", "        x = F.dropout(x, 0.5, training=self.training)\n", ""),),
        "equal_but",
        ("dropout",),
        (),
        ("dropout",),
    ),
    Plant(
        "gelu-approximation",
        "mlp-mixer",
        (("pytorch.py", "nn.GELU()", 'nn.GELU(approximate="tanh")'),),
        "equal_but",
        ("dense",),
        ("blocks.0.token_mlp.0", "blocks.0.token_mlp.1"),
        ("gelu",),
    ),
    Plant(
        "gelu-approximation-by-a-function",
        "transformer-qkv",
        (("pytorch.py", "F.gelu(self.fc1(x))", 'F.gelu(self.fc1(x), approximate="tanh")'),),
        "equal_but",
        ("dense",),
        ("block1.fc1", "block1.fc2"),
        ("gelu",),
    ),
    Plant(
        "regularizer",
        "plain-cnn",
        (
            (
                "keras.py",
                'layers.Dense(64, activation="relu")',
                'layers.Dense(64, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4))',
            ),
        ),
        "equal_but",
        ("dense",),
        ("10",),
        ("regulari",),
    ),
    Plant(
        "initial-bias",
        "mlp-regression",
        (("keras.py", "layers.Dense(1)", "layers.Dense(1, bias_initializer=keras.initializers.Constant(22.5))"),),
        "equal_but",
        ("dense_3",),
        ("out",),
        ("initial",),
    ),
    Plant(
        "initial-weights",
        "mlp-regression",
        (
            (
                "pytorch.py",
                "        self.dropout = nn.Dropout(0.1)\n",
                "        self.dropout = nn.Dropout(0.1)\n        nn.init.normal_(self.fc2.weight, std=0.01)\n",
            ),
        ),
        "equal_but",
        ("dense_1",),
        ("fc2",),
        ("initial",),
    ),
    # Two biases that both train: one step moves their sum twice as far.
    Plant(
        "second-bias-of-lstm",
        "stacked-lstm",
        (
            (
                "pytorch.py",
                "        # Keras trains one bias for each gate: the second one stays out of it.\n"
                "        for bias in (self.lstm.bias_hh_l0, self.lstm.bias_hh_l1):\n"
                "            nn.init.zeros_(bias).requires_grad_(False)\n",
                "",
            ),
        ),
        "equal_but",
        ("lstm",),
        ("lstm",),
        ("bias",),
    ),
    Plant(
        "second-bias-of-bidirectional-lstm",
        "bilstm",
        (("pytorch.py", 'name.startswith("bias_hh")', "False"),),
        "equal_but",
        ("bidirectional", "forward_lstm"),
        ("lstm",),
        ("bias",),
    ),
)

PLANTED = IN_THE_FORWARD_PASS + IN_TRAINING_ONLY + EQUAL_BUT
