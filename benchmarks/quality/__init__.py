"""How good are recalls? Every model beside strong simple rivals, on public protocols."""
