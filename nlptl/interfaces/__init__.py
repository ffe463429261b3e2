"""What a person or a program sees; the only room that prints or exits."""
