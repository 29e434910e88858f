"""The smallest applications that serve a folder with the libraries beside which we stand."""
