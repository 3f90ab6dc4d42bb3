"""How soon is a service ready, beside what it cannot do without, and does its loop stall then?"""
