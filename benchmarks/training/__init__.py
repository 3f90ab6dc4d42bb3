"""How fast are rows encoded and trained on, beside a peer and beside the network alone?"""
