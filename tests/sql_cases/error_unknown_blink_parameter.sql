blink.miniBatch.siz=5000

