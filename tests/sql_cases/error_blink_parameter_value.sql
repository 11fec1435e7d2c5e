blink.miniBatch.size=many
