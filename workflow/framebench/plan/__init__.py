"""From config.yaml to what is measured: cells, runs, devices, environments, requests to a cluster."""
