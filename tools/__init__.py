"""What the project writes about itself, and ``template.yaml`` as data."""
