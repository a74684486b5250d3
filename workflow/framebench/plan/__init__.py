"""From config.yaml to a plan: cells, runs, devices, environments, requests to a cluster."""
