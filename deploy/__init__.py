"""What firstsight is deployed with; docs/deploy.md."""
