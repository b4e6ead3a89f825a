"""What the Terraform part is made of: a copy to work in, a mocked AWS, and what has to be found there."""
