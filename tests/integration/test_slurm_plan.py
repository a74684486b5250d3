"""Submissions to a Slurm cluster, tested without one."""

import pytest

pytestmark = pytest.mark.all

DEVICES = {"p100": {"gpu_model": "p100", "partition": "gpu"}, "k80": {"gpu_model": "k80", "partition": "gpu"}}


@pytest.fixture
def cluster_workspace(workspace):
    workspace.configure(devices=DEVICES)
    return workspace


def test_a_dry_run_tells_how_many_jobs_it_would_submit_for_how_many_runs(cluster_workspace):
    matrix = [
        {
            **{"workload": "article-cnn", "tracks": ["default"], "precisions": ["float32"], "inputs": ["device"]},
            **{"batch_sizes": [32, 64], "rounds": 3},
        }
    ]
    cluster_workspace.configure(matrix=matrix)
    result = cluster_workspace.snakemake("--profile", "profiles/slurm", "-n", "results/measurements.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    # A round of 2 batch sizes on 2 devices is 4 jobs, each of all 3 frameworks.
    assert f"{2 * 2 * 3} calls of sbatch for {2 * 2 * 3 * 3} runs; planned in " in result.stderr


def test_a_device_of_a_cluster_is_not_measured_here(cluster_workspace):
    result = cluster_workspace.snakemake("results/measurements.csv")
    assert result.returncode != 0
    assert "devices: 'p100' is requested from a Slurm cluster, and this would measure here: " in result.stderr
    assert not (cluster_workspace.folder / "results" / "data").exists()


def test_steps_that_need_no_node_need_no_cluster(cluster_workspace):
    result = cluster_workspace.snakemake("results/data/images.npz", "article-2018")
    assert result.returncode == 0, result.stdout + result.stderr
