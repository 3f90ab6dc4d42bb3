"""What is known against the libraries of the images: advisories and licences; `make audit`."""
