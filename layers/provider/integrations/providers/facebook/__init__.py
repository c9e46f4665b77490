"""Facebook Pages: https://developers.facebook.com/docs/pages-api."""
