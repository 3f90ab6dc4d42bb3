"""What a few clicks tell of a new item, by the ways there are to listen to them."""
