package agent

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // what phones and scanners make
	_ "image/png"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// Bounds of a picture with a QR code.
const (
	pictureMax  = 8 << 20  // bytes
	pictureArea = 16 << 20 // pixels; each takes up to 8 bytes
	qrTextMax   = 4 << 10  // bytes; a QR code holds 2953
)

// isPicture tells PNG and JPEG from text.
func isPicture(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) || bytes.HasPrefix(b, []byte("\xff\xd8\xff"))
}

// readQR gives the text of the QR code in a picture.
func readQR(b []byte) (text string, err error) {
	head, _, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return "", fmt.Errorf("reading the picture: %w", err)
	}
	if int64(head.Width)*int64(head.Height) > pictureArea {
		return "", &hinted{fmt.Errorf("the picture has %d by %d pixels, more than are read", head.Width, head.Height), "cut out the QR code, or make the picture smaller"}
	}
	picture, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return "", fmt.Errorf("reading the picture: %w", err)
	}
	// The picture comes from anywhere, and the decoder is not ours: what it trips over is an error.
	defer func() {
		if r := recover(); r != nil {
			text, err = "", errors.New("reading the QR code: the decoder failed on this picture")
		}
	}()
	bits, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return "", fmt.Errorf("reading the QR code: %w", err)
	}
	found, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]interface{}{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return "", &hinted{errors.New("no QR code can be read in the picture"), "have it sharp, straight and whole, with its white border"}
	}
	if text = strings.TrimSpace(found.GetText()); text == "" || len(text) > qrTextMax {
		return "", fmt.Errorf("the QR code holds %d bytes of text, which is no invitation", len(text))
	}
	return text, nil
}

// isToken tells a token alone, a JWT, from a document.
func isToken(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 && !strings.ContainsAny(text, " \t\r\n{\"")
}
