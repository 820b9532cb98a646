"""What a stream is asked: which texts are taken, their ids, their labels, words that are near."""
