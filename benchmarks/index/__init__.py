"""How fast and how small is each way to find the nearest items, at the same recall?"""
