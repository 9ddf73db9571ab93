"""What reads finished searches and tables and writes pages: research on top of the library, which never imports it."""
