"""How soon is what is posted to one replica recalled on another?"""
