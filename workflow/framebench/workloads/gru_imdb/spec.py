"""The GRU behind the article's charts (IMDB column; 150 tokens, batch 64, Adam)."""

from framebench.workloads.layers import GRU, Adam, Dense, Embedding, Workload

WORKLOAD = Workload(
    name="gru-imdb",
    data="reviews",
    input_shape=(150,),
    layers=(
        Embedding("embedding", tokens=30_000, size=125),
        GRU("gru", units=100),
        Dense("dense1", units=2, relu=False),
    ),
    optimizer=Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
    article_batch_size=64,
)
