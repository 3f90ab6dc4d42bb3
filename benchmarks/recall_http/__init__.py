"""What does one recall cost through the real server, beside its bare parts and its rivals?"""
