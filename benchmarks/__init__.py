"""One file per question; each result carries the machine it was measured on."""
