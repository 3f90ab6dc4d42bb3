"""KuaiRand: real short-video exposures, a sample of which is shipped."""
