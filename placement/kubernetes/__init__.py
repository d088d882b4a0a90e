"""What coldplate tells a Kubernetes scheduler, and the few things that it changes in a cluster."""
